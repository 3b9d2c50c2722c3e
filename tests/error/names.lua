-- expect: :3: error: max_pool: name is 'a b', must be letters, digits and _
local x = image("x", 3, 8, 8)
local y = x:max_pool{2, name = "a b"}
return network{output = {y = y}, name = "n"}
