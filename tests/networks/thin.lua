-- Layers whose gradients by weights are small beside what they read, of few channels and of no multiple of 8.
local x, want = image("x", 16, 24, 25), image("want", 3, 24, 25)
local y = x:conv(param.a, 20, {kernel = 3, pad = 1}):relu()
local shown = y:conv(param.b, 3, {kernel = 3, pad = 1})
return network{output = {shown = shown}, loss = (shown - want):square():mean(), optimizer = sgd{}}
