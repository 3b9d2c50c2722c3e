-- Do two pictures show the same? Two towers with one set of weights, and the contrastive loss (Hadsell,
-- Chopra, LeCun 2006): alike pictures are pulled together, others pushed apart until they are `margin` away.
-- `same` is 1 for alike pictures and 0 for others; only the loss reads it, so inference does not ask for it.
local margin = option{"margin", 1.0, min = 0, help = "distance that pictures of different things keep"}
local size   = option{"size", 28, min = 16, help = "height and width of the pictures"}
local length = option{"length", 16, min = 1, help = "numbers that a picture becomes"}

local left, right, same = image("left", 1, size, size), image("right", 1, size, size), input("same", 1)

local tower = share(param.tower)
local function embed(x)
  local y = x:conv(tower.conv1, 12, {kernel = 5}):relu():max_pool{2}
  y = y:conv(tower.conv2, 20, {kernel = 3}):relu():max_pool{2}
  return y:flatten():dense(tower.fc, length, {bias = false}) -- which the difference would cancel
end

local square   = (embed(left) - embed(right)):square():sum{axes = "features", keep = true}
local distance = (square + 1e-12):sqrt() -- the root's slope at 0 is infinite
return network{
  output = {distance = distance},
  loss = (same * square + (1 - same) * (margin - distance):relu() ^ 2):mean(),
  optimizer = sgd{momentum = 0.9},
}
