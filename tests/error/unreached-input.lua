-- expect: :3: error: input unused reaches no output and no loss
local x = image("x", 3, 8, 8)
local u = input("unused", 7)
local v = u:dense(param.fc, 3)
return network{output = {y = x:relu()}}
