-- Channels whose numbers and offsets are no multiples of anything: dense blocks, slices, groups.
local classes = option{"classes", 10, min = 2}
local x, label = image("x", 16, 8, 8), class("label", classes)

local y = x:conv(param.stem, 24, {kernel = 3, pad = 1, bias = false})
for i = 0, 2 do -- a dense block (Huang et al. 2017), growing by 12
  local p = param.block[i]
  y = y:concat(y:batch_norm(p.norm):relu():conv(p.conv, 12, {kernel = 3, pad = 1, bias = false}))
end
y = y:conv(param.reduce, 58, {kernel = 1}):relu()
local left, right = y:slice{0, count = 29}, y:slice{29, count = 29}
right = right:conv(param.right, 29, {kernel = 1}):relu()
y = left:concat(right):conv(param.group, 64, {kernel = 3, pad = 1, groups = 2})
y = y:conv(param.narrow, 32, {kernel = 3, stride = 2, pad = 1, groups = 8}):relu()
local score = y:global_avg_pool():flatten():dense(param.fc, classes)
return network{output = {scores = score}, loss = score:cross_entropy(label), optimizer = sgd{momentum = 0.9}}
