-- Several inputs, several outputs, several losses: what a small robot sees, hears and measures becomes
-- what stands before it, where, and how sure it is of the place. Each loss comes back by its name.
local classes = option{"classes", 6, min = 2, help = "kinds of things"}

local camera, sound = image("camera", 3, 24, 32), input("sound", 2, 60)
local state         = input("state", 5)                         -- speeds and angles
local label, place  = class("label", classes), input("place", 2) -- what it should have said

local seen = camera:conv(param.eye[0], 12, {kernel = 3, stride = 2, pad = "same"}):relu()
seen = seen:conv(param.eye[1], 24, {kernel = 3, stride = 2, pad = "same", bias = false}):batch_norm(param.norm):relu()
seen = seen:global_avg_pool():flatten()

local heard = sound:conv(param.ear[0], 8, {kernel = 5, stride = 2, pad = 2}):relu():max_pool{2} -- along a line
heard = heard:conv(param.ear[1], 10, {kernel = 3, dilation = 2}):tanh():flatten()

local all = seen:concat(heard, state):dense(param.trunk, 32):relu()
local what  = all:dense(param.what, classes)
local where = all:dense(param.where, 2)
local doubt = all:dense(param.doubt, 2) -- the logarithm of the variance, for each of the place's numbers

return network{
  output = {{"kind", what:softmax()}, {"position", where}, {"doubt", doubt}},
  loss = what:cross_entropy(label)
    + 0.5 * where:mse(place)
    + 0.25 * ((-doubt):exp() * (where - place):square() + doubt):mean(), -- a normal distribution's
  optimizer = adam{decay = 0.01, decoupled = true},
}
