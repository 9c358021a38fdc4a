-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What can be called.  A newer VERSION takes the place of an older one.

local VERSION = 2

local function version()
	return VERSION
end

local functions = {
	{ 'check', check, true },
	{ 'reserve', reserve, false },
	{ 'keep', keep, false },
	{ 'refund', refund, false },
	{ 'usage', usage, true },
	{ 'version', version, true },
}

-- While a library loads there is no ipairs().
for i = 1, #functions do
	local name, callback = functions[i][1], functions[i][2]
	if redis.register_function then
		redis.register_function({
		    function_name = 'smtpusers_' .. name,
		    callback = callback,
		    flags = functions[i][3] and { 'no-writes' } or nil })
	elseif name == ARGV[1] then
		table.remove(ARGV, 1)
		return callback(KEYS, ARGV)
	end
end
