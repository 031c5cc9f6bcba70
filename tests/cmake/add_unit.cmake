# clonefs_add_unit(name SOURCES a.c ... LIBS target ... [TIMEOUT seconds] [LABELS ...])
# registers the cmocka program test_<name> as ctest "unit.<name>". Conversions are not policed in tests.
function(clonefs_add_unit name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${arg_LIBS} PkgConfig::CMOCKA)
  target_compile_options(test_${name} PRIVATE -Wno-conversion)
  add_test(NAME unit.${name} COMMAND test_${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(unit.${name} PROPERTIES
    TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "unit;${arg_LABELS}")
endfunction()
