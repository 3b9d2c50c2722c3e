-- expect: :2: error: include 'parts/none.lua': no such file in tests/error/
include "parts/none.lua"
