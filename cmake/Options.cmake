# Compilers, warnings and the build kinds that CI runs.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()

option(MAILHOLD_TESTS "build the tests" ON)
option(MAILHOLD_FUZZ "build the fuzz harnesses with libFuzzer (clang)" OFF)
set(MAILHOLD_SANITIZE "" CACHE STRING "empty, address (with undefined), or thread")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(mailhold_flags INTERFACE)
target_compile_definitions(mailhold_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(mailhold_flags INTERFACE
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
	-Wvla -Wformat=2 -Wundef -Wimplicit-fallthrough -fno-strict-aliasing -fstack-protector-strong)
target_link_options(mailhold_flags INTERFACE -Wl,-z,relro,-z,now)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
	target_compile_options(mailhold_flags INTERFACE -O2 -g)
	if(NOT MAILHOLD_SANITIZE)
		target_compile_definitions(mailhold_flags INTERFACE _FORTIFY_SOURCE=2)
	endif()
endif()
# Asserts catch our own mistakes; they stay in every build.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

if(MAILHOLD_SANITIZE STREQUAL "address")
	set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(MAILHOLD_SANITIZE STREQUAL "thread")
	set(sanitize -fsanitize=thread -fno-omit-frame-pointer)
elseif(MAILHOLD_SANITIZE)
	message(FATAL_ERROR "MAILHOLD_SANITIZE is '${MAILHOLD_SANITIZE}'; use address or thread")
endif()
target_compile_options(mailhold_flags INTERFACE ${sanitize})
target_link_options(mailhold_flags INTERFACE ${sanitize})
if(MAILHOLD_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "MAILHOLD_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang")
	endif()
	target_compile_options(mailhold_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
