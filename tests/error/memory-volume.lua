-- expect: :4: error: not enough memory: too much work with memory
local s = string.rep("x", 1 << 19)
while true do
  local t = s .. "y"
end
