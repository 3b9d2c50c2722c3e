-- expect: syntax.lua:4: error: '}' expected (to close '{' at line 3) near 'return'
local x = input("x", 7)
local y = x:dense(param.fc, 7, {bias = false
return network{output = {y = y}}
