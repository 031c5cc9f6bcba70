/* What the build has in it, for tests of what sanitizers replace or slow down. */
#ifndef CLONEFS_TESTS_SUPPORT_SANITIZED_H
#define CLONEFS_TESTS_SUPPORT_SANITIZED_H

#include <stdbool.h>

#ifdef __has_feature
#define TESTS_HAS_FEATURE(name) __has_feature(name)
#else
#define TESTS_HAS_FEATURE(name) 0
#endif

/* Threads are several times slower, and so is what they copy. */
#if defined(__SANITIZE_THREAD__) || TESTS_HAS_FEATURE(thread_sanitizer)
#define HAS_THREAD_SANITIZER true
#else
#define HAS_THREAD_SANITIZER false
#endif

/* malloc() is not the C library's. */
#if defined(__SANITIZE_ADDRESS__) || TESTS_HAS_FEATURE(address_sanitizer)
#define HAS_OWN_MALLOC true
#else
#define HAS_OWN_MALLOC HAS_THREAD_SANITIZER
#endif

#endif
