-- expect: :2: error: 'coroutine' is not available in a network file
local f = coroutine
