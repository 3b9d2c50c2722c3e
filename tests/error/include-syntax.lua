-- expect: parts/syntax.lua:2: error: unexpected symbol near
-- expect: include-syntax.lua:3: note: called from here
include "parts/syntax.lua"
