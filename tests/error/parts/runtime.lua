return function(x)
  local y = x:conv(param.c, 4, {kernel = 1}) return y
end
