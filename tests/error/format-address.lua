-- expect: :2: error: string.format: %p would show an address
local s = string.format("%p", {})
