# SPDX-License-Identifier: MIT
#
# Headers, both libraries, the CMake package and the pkg-config file. Both packages find their own
# prefix, so an installed tree may be moved.

include(CMakePackageConfigHelpers)
set(bide_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bide)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
install(TARGETS bide bide_shared EXPORT bideTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT bideTargets NAMESPACE bide:: DESTINATION ${bide_package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/bideConfig.cmake.in
    ${PROJECT_BINARY_DIR}/bideConfig.cmake INSTALL_DESTINATION ${bide_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/bideConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/bideConfig.cmake ${PROJECT_BINARY_DIR}/bideConfigVersion.cmake
    DESTINATION ${bide_package_dir})

file(RELATIVE_PATH bide_pc_up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" bide_pc_up "${bide_pc_up}")
set(bide_pc_private ${CMAKE_THREAD_LIBS_INIT})
if(BIDE_CONTEXT STREQUAL "fcontext")
    string(APPEND bide_pc_private " ${BIDE_BOOST_CONTEXT}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/bide.pc.in ${PROJECT_BINARY_DIR}/bide.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/bide.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
