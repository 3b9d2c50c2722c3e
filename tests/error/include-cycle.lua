-- expect: parts/b.lua:1: error: tests/error/parts/a.lua is included while it is running
-- expect: parts/a.lua:1: note: called from here
-- expect: include-cycle.lua:4: note: first included here
include "parts/a.lua"
