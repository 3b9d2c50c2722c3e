-- expect: :2: error: __gc is not available in a network file
setmetatable({}, {__gc = function() while true do end end})
