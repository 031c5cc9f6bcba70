# clonefs_add_e2e(name [TIMEOUT seconds] [LABELS ...] [LONG]) registers tests/e2e/<name>.sh as ctest
# "e2e.<name>", with this build's programs. Exit status 77 means skipped.
# LONG: takes half a minute, so it is not to begin when all others are done.
function(clonefs_add_e2e name)
  cmake_parse_arguments(arg "LONG" "TIMEOUT" "LABELS" ${ARGN})
  add_test(NAME e2e.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${name}.sh)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(CLONEFS_SANITIZE)
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 4")
  endif()
  set_tests_properties(e2e.${name} PROPERTIES
    TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "e2e;${arg_LABELS}"
    ENVIRONMENT "CLONEFS_BUILD=${PROJECT_BINARY_DIR}")
  if(arg_LONG)
    set_tests_properties(e2e.${name} PROPERTIES COST 100)
  endif()
endfunction()
