-- A small classifier that learns by any optimizer; its weights are no multiples of any lanes.
local how = option{"optimizer", "sgd", help = "its name, and what it clips: sgd, sgd.clip_norm"}
local by, clip = how:match("^(%w+)%.?([%w_]*)$")
local x, label = image("x", 1, 5, 5), class("label", 3)
local y = x:conv(param.conv, 3, {kernel = 2}):tanh():flatten():dense(param.fc, 3)
local numbers = clip == "" and {} or {[clip] = 0.01}
return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = _G[by](numbers)}
