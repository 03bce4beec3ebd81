# SPDX-License-Identifier: MIT
#
# Headers, the libraries, the CMake package and the pkg-config files. All packages find their own
# prefix, so an installed tree may be moved.

include(CMakePackageConfigHelpers)
set(bide_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bide)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
install(TARGETS bide bide_shared bide_testing EXPORT bideTargets
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
set(bide_pc_names bide bide-testing)
# Modules: archives only, so whoever links one links what it needs.
set(bide_pc_use_uring "files through io_uring")
set(bide_pc_use_cares "names through c-ares")
foreach(bide_module uring cares)
    if(bide_${bide_module}_built)
        list(APPEND bide_pc_names bide-${bide_module})
    endif()
endforeach()
foreach(bide_pc_name IN LISTS bide_pc_names)
    string(REPLACE "-" "_" bide_pc_library ${bide_pc_name})
    string(REPLACE "bide-" "" bide_module ${bide_pc_name})
    set(bide_pc_description ${PROJECT_DESCRIPTION})
    if(bide_pc_use_${bide_module})
        string(APPEND bide_pc_description ", its ${bide_pc_use_${bide_module}}")
        string(APPEND bide_pc_library " -lbide -l${bide_module} ${bide_pc_private}")
    endif()
    if(bide_pc_name STREQUAL "bide-testing") # there is no shared one
        string(APPEND bide_pc_description ", for tests, in place of bide")
        string(APPEND bide_pc_library " ${bide_pc_private}")
    endif()
    string(STRIP "${bide_pc_library}" bide_pc_library)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/bide.pc.in ${PROJECT_BINARY_DIR}/${bide_pc_name}.pc
        @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${bide_pc_name}.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
