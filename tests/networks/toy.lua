-- A toy with what breaks designs: a tower used twice, a concatenation, a residual sum, batch norm.
-- Small on purpose: every test can afford it, with ragged channels (5 and 6, no multiple of any lanes).
local classes = option{"classes", 4, min = 2, help = "number of classes"}
local x, label = image("x", 2, 9, 8), class("label", classes)

local tower = share(param.tower)
local function look(image)
  return image:conv(tower.conv, 5, {kernel = 3, pad = 1}):relu()
end

local stem  = x:conv(param.stem, 2, {kernel = 3, pad = 1, bias = false}):batch_norm(param.norm):relu()
local left  = look(stem)                                      -- the same weights, twice
local right = look(x)
local wide  = left:concat(right, x:conv(param.side, 6, {kernel = 1}))
local pool  = wide:max_pool{2}
local deep  = pool:conv(param.block.conv1, 16, {kernel = 3, pad = 1, bias = false}):batch_norm(param.block.bn1):relu()
local y     = (deep + pool):relu()                            -- residual
local score = y:global_avg_pool():flatten():dense(param.fc, classes)

local aux = left:max_pool{3, stride = 2}:flatten():dense(param.aux, classes)
return network{
  output = {scores = score},
  loss = score:cross_entropy(label) + 0.3 * aux:cross_entropy(label, {name = "auxiliary"}),
  optimizer = sgd{momentum = 0.9, decay = 1e-4},
}
