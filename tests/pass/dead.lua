-- What no output reaches is absent from inference, and there from training's loss.
-- golden: graph   --dump=graph
-- golden: passes  --dump=passes
local x, label = image("x", 2, 4, 4), class("label", 3)
local y = x:conv(param.conv, 3, {kernel = 3}):relu()
local score = y:global_avg_pool():flatten():dense(param.fc, 3)
local aux = y:flatten():dense(param.aux, 3)
return network{
  output = {score = score},
  loss = score:cross_entropy(label) + 0.3 * aux:cross_entropy(label, {name = "aux"}),
  optimizer = sgd{momentum = 0.9},
}
