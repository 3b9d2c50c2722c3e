-- expect: :7: error: param.fc is used twice; share(param.fc) would give both layers the same weights
-- expect: :10: note: called from here
-- expect: :7: note: first used here
-- expect: :9: note: called from here
local x = input("x", 7)
local function layer(x)
  local y = x:dense(param.fc, 7) return y
end
local y = layer(x)
local z = layer(y)
return network{output = {z = z}}
