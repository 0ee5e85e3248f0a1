# The version stands in three places, each of which someone reads without the
# others: the project (CMake), version.h (programs), the newest node of
# libpyprof.map (the loader). Configuring stops unless they agree.

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
             include/pyprof/version.h libpyprof/libpyprof.map)

file(READ ${PROJECT_SOURCE_DIR}/include/pyprof/version.h header)
foreach(part MAJOR MINOR PATCH)
  if(NOT header MATCHES "#define PYPROF_VERSION_${part} ([0-9]+)")
    message(FATAL_ERROR "version.h has no PYPROF_VERSION_${part}")
  endif()
  list(APPEND header_version ${CMAKE_MATCH_1})
endforeach()
list(JOIN header_version "." header_version)
if(NOT header_version VERSION_EQUAL PROJECT_VERSION)
  message(FATAL_ERROR "version.h says ${header_version}, "
                      "CMakeLists.txt ${PROJECT_VERSION}")
endif()

file(STRINGS ${PROJECT_SOURCE_DIR}/libpyprof/libpyprof.map nodes
     REGEX "^PYPROF_[0-9.]+ ")
list(POP_BACK nodes newest)
string(REGEX REPLACE "^PYPROF_([0-9.]+) .*" "\\1" newest "${newest}")
if(NOT newest VERSION_EQUAL
   "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
  message(FATAL_ERROR "the last node of libpyprof.map is PYPROF_${newest}, "
                      "the version ${PROJECT_VERSION}")
endif()
