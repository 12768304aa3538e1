# mailhold_room(NAME [FOLDER path] SOURCES … [DOORS headers …] [SEES rooms …] [LIBRARIES foreign targets …])
#
# One folder is one room is one target. The headers under DOORS (default: <folder name>.h) are its doors: whoever
# lists the room under SEES includes them as "<folder>/<header>", and nothing else of it can be included. Rooms
# are linked PRIVATE, so a room that is not listed does not exist for the compiler.
#
# The doors are links under the build folder: doors/<room>/<folder>/<header>. The room itself (and its own unit
# tests, through mailhold_inside) sees its whole folder as inside/<room>/<folder>.
function(mailhold_room name)
	cmake_parse_arguments(ROOM "" "FOLDER" "SOURCES;DOORS;SEES;LIBRARIES" ${ARGN})
	if(NOT ROOM_FOLDER)
		set(ROOM_FOLDER ${name})
	endif()
	if(NOT ROOM_DOORS)
		get_filename_component(leaf ${ROOM_FOLDER} NAME)
		set(ROOM_DOORS ${leaf}.h)
	endif()
	set(doors ${CMAKE_BINARY_DIR}/doors/${name})
	set(inside ${CMAKE_BINARY_DIR}/inside/${name})
	file(REMOVE_RECURSE ${doors} ${inside})
	file(MAKE_DIRECTORY ${doors}/${ROOM_FOLDER})
	foreach(header ${ROOM_DOORS})
		file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${header} ${doors}/${ROOM_FOLDER}/${header} SYMBOLIC)
	endforeach()
	get_filename_component(parent ${inside}/${ROOM_FOLDER} DIRECTORY)
	file(MAKE_DIRECTORY ${parent})
	file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${inside}/${ROOM_FOLDER} SYMBOLIC)

	add_library(${name} STATIC ${ROOM_SOURCES})
	set_property(GLOBAL APPEND PROPERTY MAILHOLD_ROOMS ${name})
	target_include_directories(${name} INTERFACE ${doors} PRIVATE ${inside})
	target_link_libraries(${name} PRIVATE mailhold_flags ${ROOM_SEES} ${ROOM_LIBRARIES})
endfunction()

# Lets TARGET (a room's own unit test) include the room's internal headers.
function(mailhold_inside target room)
	target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/inside/${room})
endfunction()

function(mailhold_pkg target module)
	if(NOT TARGET PkgConfig::${target})
		pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${module})
	endif()
endfunction()

# A door without a room behind it: headers that several inner rooms share.
function(mailhold_door name)
	cmake_parse_arguments(DOOR "" "FOLDER" "DOORS" ${ARGN})
	set(doors ${CMAKE_BINARY_DIR}/doors/${name})
	file(REMOVE_RECURSE ${doors})
	file(MAKE_DIRECTORY ${doors}/${DOOR_FOLDER})
	foreach(header ${DOOR_DOORS})
		file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${header} ${doors}/${DOOR_FOLDER}/${header} SYMBOLIC)
	endforeach()
	add_library(${name} INTERFACE)
	target_include_directories(${name} INTERFACE ${doors})
endfunction()
