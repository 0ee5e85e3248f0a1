# How everything is compiled. What a distribution or a person gives in CFLAGS
# comes on top. Warnings are errors only where CMAKE_COMPILE_WARNING_AS_ERROR
# is set (`./dev lint`): a new compiler must not break a user's build.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
                    -Wmissing-prototypes)
add_compile_options($<$<CONFIG:RelWithDebInfo>:-fno-plt>)
add_link_options(-Wl,--as-needed)

# POSIX is the base of all sources; what only Linux has is the business of
# libpyprof/os/linux, which alone gets _GNU_SOURCE.
add_compile_definitions(_POSIX_C_SOURCE=200809L)

set(PYPROF_SANITIZE_OPTIONS -fno-sanitize-recover=all -fno-omit-frame-pointer)
if(PYPROF_SANITIZE)
  add_compile_options(-fsanitize=${PYPROF_SANITIZE} ${PYPROF_SANITIZE_OPTIONS})
  add_link_options(-fsanitize=${PYPROF_SANITIZE})
endif()
