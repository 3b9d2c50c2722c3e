include "parts/b.lua"
