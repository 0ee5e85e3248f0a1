# The web pages of the output formats, from their plain source files.
#
# A page is an .html file with {{style}}, {{script}} and {{policy}}: put in when
# configuring, so that a page is one file and a browser runs no other script
# than this one (its digest is in the page's policy). What else is in {{}} is
# filled by the library when a profile is written. Needs nothing but CMake.

# Base64 of a digest in hexadecimal.
function(pyprof_base64 hex out)
  set(alphabet
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(LENGTH "${hex}" length)
  set(result "")
  set(at 0)
  while(at LESS length)
    string(SUBSTRING "${hex}00000" ${at} 6 group) # 3 bytes: 4 characters
    foreach(shift 18 12 6 0)
      math(EXPR digit "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${digit} 1 character)
      string(APPEND result "${character}")
    endforeach()
    math(EXPR at "${at} + 6")
  endwhile()
  # A digest of 32 bytes lacks one of its last three.
  string(REGEX REPLACE ".$" "=" result "${result}")
  set(${out} "${result}" PARENT_SCOPE)
endfunction()

# Reads the files one after another.
function(pyprof_concatenate out)
  set(all "")
  foreach(file ${ARGN})
    file(READ ${file} text)
    string(APPEND all "${text}")
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND
                 PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
  set(${out} "${all}" PARENT_SCOPE)
endfunction()

# pyprof_page(NAME HTML STYLES SCRIPTS): adds to `pages_source` the constant
# pp_page_NAME. STYLES and SCRIPTS are lists of files.
function(pyprof_page name html styles scripts)
  pyprof_concatenate(page ${html})
  pyprof_concatenate(style ${styles})
  pyprof_concatenate(script ${scripts})
  set(policy "default-src 'none'; img-src data: blob:; base-uri 'none'")
  string(APPEND policy "; form-action 'none'")
  foreach(kind style script)
    string(SHA256 digest "${${kind}}")
    pyprof_base64(${digest} digest)
    string(APPEND policy "; ${kind}-src 'sha256-${digest}'")
  endforeach()
  foreach(kind policy style script)
    string(REPLACE "{{${kind}}}" "${${kind}}" page "${page}")
  endforeach()
  string(HEX "${page}" bytes)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes
                       "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  set(pages_source "${pages_source}
static const unsigned char ${name}_bytes[] = {
${bytes}
};
const pp_page pp_page_${name} = {${name}_bytes, sizeof(${name}_bytes)};
" PARENT_SCOPE)
endfunction()

set(pages_source "/* Made by cmake/pages.cmake. */
#include \"collector/page/page.h\"
")
set(collectors ${PROJECT_SOURCE_DIR}/libpyprof/collector)
file(GLOB common_scripts CONFIGURE_DEPENDS ${collectors}/page/*.js)
set(common_styles ${collectors}/page/common.css)

set(scripts "")
foreach(part model views canvas side state tooltip app start) # start runs
  list(APPEND scripts ${collectors}/flamegraph/${part}.js)
endforeach()
pyprof_page(flamegraph ${collectors}/flamegraph/page.html
            "${common_styles};${collectors}/flamegraph/page.css"
            "${common_scripts};${scripts}")

foreach(page index file)
  pyprof_page(heatmap_${page} ${collectors}/heatmap/${page}.html
              "${common_styles};${collectors}/heatmap/page.css"
              "${common_scripts};${collectors}/heatmap/${page}.js")
endforeach()

set(pages_file ${PROJECT_BINARY_DIR}/generated/pages.c)
set(pages_old "")
if(EXISTS ${pages_file})
  file(READ ${pages_file} pages_old)
endif()
if(NOT pages_old STREQUAL pages_source)
  file(WRITE ${pages_file} "${pages_source}")
endif()
