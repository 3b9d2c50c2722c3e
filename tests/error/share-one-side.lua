-- expect: :4: error: param.t is used twice
local x = input("x", 7)
local y = x:dense(param.t, 7)
y = y:dense(share(param.t), 7)
return network{output = {y = y}}
