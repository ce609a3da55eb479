# What `make install` puts where: header, libraries, command, pkg-config file, CMake package, manual page and
# shell completion. The last two are printed by the command itself from its table.
include(CMakePackageConfigHelpers)

install(FILES ${PROJECT_SOURCE_DIR}/include/sensorium.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set_target_properties(sensorium PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>;$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
install(TARGETS sensorium EXPORT sensorium-targets)
install(TARGETS sensorium_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT sensorium-targets NAMESPACE sensorium:: FILE sensorium-config.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sensorium)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/sensorium-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/sensorium-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sensorium)

# The pkg-config file is made at install time, so that it knows the prefix given there.
set(SN_PC_PRIVATE "${DEPS_STATIC_LDFLAGS} ${FFMPEG_STATIC_LDFLAGS} -ljpeg -lpng -ltiff -lgif -ldnnl -lgomp -lm -lpthread")
string(REPLACE ";" " " SN_PC_PRIVATE "${SN_PC_PRIVATE}")
install(CODE "
  set(CMAKE_INSTALL_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
  set(CMAKE_INSTALL_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
  set(PROJECT_VERSION \"${PROJECT_VERSION}\")
  set(SN_PC_PRIVATE \"${SN_PC_PRIVATE}\")
  configure_file(\"${PROJECT_SOURCE_DIR}/cmake/sensorium.pc.in\" \"${CMAKE_BINARY_DIR}/sensorium.pc\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/sensorium.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET sensorium_cli)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/sensorium.1 ${CMAKE_BINARY_DIR}/sensorium.bash
    COMMAND sensorium_cli help --man > ${CMAKE_BINARY_DIR}/sensorium.1
    COMMAND sensorium_cli help --completion bash > ${CMAKE_BINARY_DIR}/sensorium.bash
    DEPENDS sensorium_cli VERBATIM)
  add_custom_target(sensorium_pages ALL DEPENDS ${CMAKE_BINARY_DIR}/sensorium.1)
  install(TARGETS sensorium_cli DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${CMAKE_BINARY_DIR}/sensorium.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_BINARY_DIR}/sensorium.bash RENAME sensorium
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()
