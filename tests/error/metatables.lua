-- expect: :3: error: cannot change a protected metatable
local safe = getmetatable("") == false and getmetatable(param) == false and getmetatable(_G) == false
setmetatable(_G, {})
