# What `cmake --install` puts in place: library, headers, pyprof.pc, CMake
# package, pyprof-cli. All of it can be moved: nothing has the prefix inside
# but pyprof.pc, where it is relative to the file.

include(CMakePackageConfigHelpers)

install(TARGETS pyprof EXPORT pyprof
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/pyprof DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/pyprof)
install(EXPORT pyprof NAMESPACE pyprof:: FILE pyprof-config.cmake
        DESTINATION ${package})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/pyprof-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pyprof-config-version.cmake
        DESTINATION ${package})

file(RELATIVE_PATH to_prefix
     /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(pyprof.pc.in pyprof.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pyprof.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET pyprof-cli)
  file(RELATIVE_PATH to_library /prefix/${CMAKE_INSTALL_BINDIR}
       /prefix/${CMAKE_INSTALL_LIBDIR})
  set_target_properties(pyprof-cli PROPERTIES
                        INSTALL_RPATH "$ORIGIN/${to_library}")
  install(TARGETS pyprof-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
