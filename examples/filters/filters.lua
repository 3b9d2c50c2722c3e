-- The filters of a textbook, as convolutions whose kernels are fixed: a Gaussian blur, then the edges of Sobel
-- and Laplace. flip makes them convolutions as mathematics has it; filters.c writes the kernels into the weights.
local height = option{"height", 256, min = 8, help = "rows of the photograph"}
local width  = option{"width", 384, min = 8, help = "columns of the photograph"}

local function filter(x, p, maps, kernel)
  return x:conv(p, maps, {kernel = kernel, pad = "same", flip = true, bias = false})
end

local blur  = filter(image("photo", 1, height, width), param.gaussian, 1, 7)
local edges = filter(blur, param.sobel, 2, 3) -- across, and down
local across, down = edges:slice(0, 1), edges:slice(1, 1)
return network{
  output = {
    blur = blur, across = across, down = down, strength = (across ^ 2 + down ^ 2):sqrt(),
    laplace = filter(blur, param.laplace, 1, 3),
  },
}
