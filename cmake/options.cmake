# The one INTERFACE target that carries language level, definitions, warnings and hardening.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

option(CLONEFS_WERROR "Treat warnings as errors" OFF)
option(CLONEFS_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(CLONEFS_COVERAGE "Instrument for coverage" OFF)
set(CLONEFS_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=: address,undefined or thread")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(SQLite3 3.40 REQUIRED)
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(MHD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)

add_library(clonefs_options INTERFACE)
target_include_directories(clonefs_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(clonefs_options INTERFACE
  _GNU_SOURCE _FILE_OFFSET_BITS=64 CLONEFS_VERSION="${PROJECT_VERSION}")
# Assertions stay on in every build: a disk that stops is better than one that lies.
target_compile_options(clonefs_options INTERFACE
  -UNDEBUG
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wold-style-definition -Wvla -Wundef -Wformat=2 -Wpointer-arith
  -Wwrite-strings -Wcast-qual -Wimplicit-fallthrough
  $<$<C_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond>
  $<$<C_COMPILER_ID:Clang>:-Wthread-safety>
  $<$<BOOL:${CLONEFS_WERROR}>:-Werror>)
target_link_libraries(clonefs_options INTERFACE Threads::Threads)

if(CLONEFS_SANITIZE)
  target_compile_options(clonefs_options INTERFACE
    -fsanitize=${CLONEFS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g
    # Compiles in three quarters of the time, and stacks keep more of their frames.
    $<$<NOT:$<BOOL:${CLONEFS_FUZZ}>>:-O1>)
  target_link_options(clonefs_options INTERFACE -fsanitize=${CLONEFS_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CLONEFS_SANITIZE MATCHES "thread")
    # gcc says that ThreadSanitizer does not see fences: ours (core/engine/read.c) orders system calls.
    target_compile_options(clonefs_options INTERFACE -Wno-tsan)
  endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(clonefs_options INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
    $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
  target_link_options(clonefs_options INTERFACE -Wl,-z,relro,-z,now -pie)
endif()
if(CLONEFS_COVERAGE)
  target_compile_options(clonefs_options INTERFACE --coverage)
  target_link_options(clonefs_options INTERFACE --coverage)
endif()
if(CLONEFS_FUZZ)
  target_compile_options(clonefs_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
