-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What can be called.

function api.canonical(_, args)
	local texts = {}
	if #args % 2 ~= 0 then
		fail('INVALID', 'a kind without a text: they come in pairs')
	end
	need_sizes(args)
	for i = 1, #args, 2 do
		local check = canonical[args[i]]
		if not check then
			invalid(args[i], 'not a kind of text')
		end
		texts[#texts + 1] = check(args[i + 1])
	end
	return texts
end

-- Those commands must be permitted for the key, with a value behind it.
function api.version(keys, args)
	for _, command in ipairs(args) do
		need_right(command, keys[1] or '', { '0' })
	end
	return { VERSION, HASH }
end

-- Errors that were raised here, and those of Redis, without the place in this
-- text where they were.
local function guarded(callback, keys, args)
	left = { members = LIMITS.members, decoded = LIMITS.decoded,
	    replaced = LIMITS.replaced, tidied = LIMITS.tidied,
	    read = LIMITS.read, counted = LIMITS.counted,
	    exact = LIMITS.exact }
	local ok, result = pcall(callback, keys, args)
	if ok then
		return result
	end
	local text = error_text(result)
	return text and { err = text } or error(result, 0)
end

-- The name, its flags.  What takes something away from somebody can be done also
-- when the memory that Redis may use is used up; so can setting fields, which
-- blocks.  That adds no record, and no more than it is given.
local functions = {
	{ 'check', 'no-writes' },
	{ 'reserve' },
	{ 'keep' },
	{ 'refund' },
	{ 'usage', 'no-writes' },
	{ 'alarm' },
	{ 'sender_usage', 'no-writes' },
	{ 'failures', 'no-writes' },
	{ 'login_failed' },
	{ 'login_passed' },
	{ 'count' },
	{ 'user_add' },
	{ 'user_set', 'allow-oom' },
	{ 'user_put' },
	{ 'user_del', 'allow-oom' },
	{ 'user_get', 'no-writes' },
	{ 'user_check', 'no-writes' },
	{ 'user_reset', 'allow-oom' },
	{ 'user_rename', 'allow-oom' },
	{ 'user_domain_add' },
	{ 'user_domain_rm', 'allow-oom' },
	{ 'user_ip_add' },
	{ 'user_ip_rm', 'allow-oom' },
	{ 'user_ipauth', 'allow-oom' },
	{ 'user_ipauth_only', 'allow-oom' },
	{ 'ip_claim' },
	{ 'ip_release', 'allow-oom' },
	{ 'ip_forget', 'allow-oom' },
	{ 'account_add' },
	{ 'account_set', 'allow-oom' },
	{ 'account_put' },
	{ 'account_del', 'allow-oom' },
	{ 'account_get', 'no-writes' },
	{ 'account_reset', 'allow-oom' },
	{ 'account_domain_add' },
	{ 'account_domain_rm', 'allow-oom' },
	{ 'user_suppress_add' },
	{ 'user_suppress_rm', 'allow-oom' },
	{ 'user_suppressed', 'no-writes' },
	{ 'account_suppress_add' },
	{ 'account_suppress_rm', 'allow-oom' },
	{ 'account_suppressed', 'no-writes' },
	{ 'import' },
	{ 'page', 'no-writes', 'allow-cross-slot-keys' },
	{ 'rows', 'no-writes' },
	{ 'strays', 'no-writes', 'allow-cross-slot-keys' },
	{ 'odd_members', 'no-writes' },
	{ 'is', 'no-writes' },
	{ 'mend', 'allow-oom' },
	{ 'bury', 'allow-oom' },
	{ 'canonical', 'no-writes' },
	{ 'describe', 'no-writes' },
	{ 'version', 'no-writes' },
}

-- While a library loads there is no ipairs().
for i = 1, #functions do
	local callback = api[functions[i][1]]
	redis.register_function({
	    function_name = 'smtpusers_' .. functions[i][1],
	    callback = function(keys, args)
		return guarded(callback, keys, args)
	    end,
	    flags = { functions[i][2], functions[i][3] } })
end
