-- expect: :2: error: 'pcall' is not available in a network file
local f = pcall
