-- expect: :5: error: param.t is shared by a dense and a batch_norm
-- expect: :4: note: first used here
local t, x = share(param.t), input("x", 7)
local y = x:dense(t, 7)
y = y:batch_norm(t)
return network{output = {y = y}}
