-- expect: :2: error: tests/error/include-itself.lua includes itself
include "include-itself.lua"
