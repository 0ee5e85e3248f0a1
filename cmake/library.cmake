# The library, compiled once as objects. From these come the shared library,
# which shows only what libpyprof.map lists, and an archive that shows
# everything: what the unit, fault and fuzz tests link.

string(TOLOWER ${CMAKE_SYSTEM_NAME} system)
if(NOT IS_DIRECTORY ${PROJECT_SOURCE_DIR}/libpyprof/os/${system})
  message(FATAL_ERROR "libpyprof/os/${system} does not exist: "
                      "docs/ADDING.md says what a new system needs")
endif()

# New files of these folders are found by themselves.
file(GLOB sources CONFIGURE_DEPENDS
     libpyprof/api/*.c libpyprof/base/*.c libpyprof/sample/*.c
     libpyprof/writer/*.c libpyprof/reader/*.c libpyprof/target/*.c
     libpyprof/layout/*.c libpyprof/unwind/*.c libpyprof/collector/*.c
     libpyprof/collector/*/*.c libpyprof/sampler/*.c libpyprof/tracer/*.c
     libpyprof/replay/*.c)
file(GLOB os_sources CONFIGURE_DEPENDS libpyprof/os/${system}/*.c)

include(cmake/pages.cmake)

function(pyprof_add_objects name)
  add_library(${name} OBJECT ${sources} ${os_sources} ${pages_file})
  set_source_files_properties(${os_sources} PROPERTIES
                              COMPILE_DEFINITIONS _GNU_SOURCE)
  target_include_directories(
    ${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    PRIVATE ${PROJECT_SOURCE_DIR}/libpyprof)
  target_link_libraries(${name} PUBLIC Threads::Threads
                        PRIVATE PkgConfig::ZSTD)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
                                           C_VISIBILITY_PRESET hidden)
endfunction()

# An archive of the same objects, with the internal headers.
function(pyprof_add_archive name objects)
  add_library(${name} STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${objects}>)
  target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR}/include
                                               ${PROJECT_SOURCE_DIR}/libpyprof)
  target_link_libraries(${name} PUBLIC Threads::Threads PkgConfig::ZSTD)
endfunction()

pyprof_add_objects(pyprof_objects)

set(map ${PROJECT_SOURCE_DIR}/libpyprof/libpyprof.map)
add_library(pyprof SHARED $<TARGET_OBJECTS:pyprof_objects>)
add_library(pyprof::pyprof ALIAS pyprof)
set_target_properties(pyprof PROPERTIES
                      VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}
                      LINKER_LANGUAGE C
                      LINK_DEPENDS ${map})
target_include_directories(
  pyprof PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(pyprof PRIVATE Threads::Threads PkgConfig::ZSTD)
target_link_options(pyprof PRIVATE -Wl,--version-script=${map})
if(NOT PYPROF_SANITIZE) # a sanitizer's symbols come with the program
  target_link_options(pyprof PRIVATE -Wl,-z,defs)
endif()
