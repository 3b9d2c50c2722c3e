-- expect: :2: error: 'collectgarbage' is not available in a network file
local f = collectgarbage
