-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Domains: lower-case A-labels.  Who has letters beyond ASCII converts them;
-- that an A-label decodes is looked at here.

local is_plain_domain

do

local DOMAIN_MAX = 253
local LOCAL_MAX = 64

-- Whether what is behind "xn--" is punycode for letters beyond ASCII (RFC 3492).
-- Where they stand need not be known for that.
local is_punycode
do
	-- 6.1.
	local function adapt(delta, points, first)
		local k = 0
		delta = math.floor(delta / (first and 700 or 2))
		delta = delta + math.floor(delta / points)
		while delta > 455 do
			delta = math.floor(delta / 35)
			k = k + 36
		end
		return k + math.floor(36 * delta / (delta + 38))
	end

	-- A number from a place on, and the place behind it; nil for what is
	-- none or too much.
	local function read_number(text, at, bias)
		local number, weight, k = 0, 1, 36
		while true do
			local byte = string.byte(text, at)
			if not byte or number > 0x7fffffff then
				return nil
			end
			local digit = byte >= 97 and byte - 97 or byte - 22
			local t = k - bias
			t = t < 1 and 1 or t > 26 and 26 or t
			number = number + digit * weight
			at = at + 1
			if digit < t then
				return number, at
			end
			weight, k = weight * (36 - t), k + 36
		end
	end

	-- Whether no A-label can have the code point, as far as can be told.
	local function is_barred(code)
		return code > 0x10ffff or (code >= 0xd800 and code <= 0xdfff) or
		    (code < 0xdf and code ~= 0xb7) or code == 0xf7 or
		    (is_unprintable(code) and code ~= 0x200c and
		    code ~= 0x200d)
	end

	function is_punycode(text)
		local basic, rest = string.match(text, '^(.+)%-([^-]+)$')
		local count = basic and #basic or 0
		local at, i, bias, n = 1, 0, 72, 0x80
		rest = rest or text
		if string.find(rest, '[^a-z0-9]') then
			return false
		end
		while at <= #rest do
			local delta
			delta, at = read_number(rest, at, bias)
			if not delta then
				return false
			end
			count = count + 1
			bias = adapt(delta, count, n == 0x80 and i == 0)
			n = n + math.floor((i + delta) / count)
			if is_barred(n) then
				return false
			end
			i = (i + delta) % count + 1
		end
		return true
	end
end

local function bad_domain(text, why)
	invalid(text, 'not a domain: ' .. why)
end

-- Of a domain with an A-label, or what looks like one.  Only so many bytes are
-- decoded in a call; beyond them an A-label is taken to be one: that which is
-- none never matches a sender.
local function check_labels(domain, text)
	for label in string.gmatch(domain, '[^.]+') do
		if string.sub(label, 3, 4) == '--' then
			if string.sub(label, 1, 2) ~= 'xn' then
				bad_domain(text, 'not a host name')
			end
			left.decoded = left.decoded - #label
			if left.decoded >= 0 and
			    not is_punycode(string.sub(label, 5)) then
				bad_domain(text, visible(label) ..
				    ' is no A-label')
			end
		end
	end
end

local function has_long_label(text)
	local at = 1
	while #text - at >= 63 do
		local dot = string.find(text, '.', at, true)
		if (dot or #text + 1) - at > 63 then
			return true
		elseif not dot then
			return false
		end
		at = dot + 1
	end
	return false
end

-- Whether a text is a domain in its canonical form, for most of those that are:
-- found out quickly, since lists are long.
function is_plain_domain(text)
	if #text > DOMAIN_MAX or
	    not string.find(text, '^[a-z0-9][a-z0-9.-]*[a-z0-9]$') or
	    string.find(text, '..', 1, true) or has_long_label(text) or
	    (string.find(text, '-', 1, true) and
	    string.find(text, '[.-][.-]')) then
		return false
	end
	-- A last label that ends in a letter is no part of an address.
	return string.byte(text, -1) > 57 and string.find(text, '.', 1, true)
end

-- With letters for the underscores that may be there: before the last two labels.
local function without_underscores(domain)
	local head, tail = string.match(domain, '^(.*%.)([^.]*%.[^.]*)$')
	return head and string.gsub(head, '_', 'a') .. tail or domain
end

function canonical.domain(text)
	if is_plain_domain(text) then
		return text
	elseif string.find(text, '[\128-\255]') then
		bad_domain(text, 'it has letters other than a-z: give it ' ..
		    'as A-labels, such as xn--bcher-kva.example')
	elseif #text > DOMAIN_MAX + 1 then
		bad_domain(text, 'longer than ' .. DOMAIN_MAX .. ' bytes')
	end
	local domain = string.gsub(string.lower(text), '%.$', '')
	local plain = without_underscores(domain)
	local last = string.match(domain, '%.([^.]*)$')
	if not last then
		bad_domain(text, 'there is no dot in it')
	elseif #domain > DOMAIN_MAX or has_long_label(domain) or
	    not string.find(plain, '^[a-z0-9][a-z0-9.-]*[a-z0-9]$') or
	    string.find(plain, '..', 1, true) or
	    string.find(plain, '.-', 1, true) or
	    string.find(plain, '-.', 1, true) then
		bad_domain(text, 'not a host name')
	elseif not string.find(last, '%D') then
		bad_domain(text, 'an address, not a domain')
	elseif string.find(domain, 'xn--', 1, true) then
		check_labels(domain, text)
	end
	return domain
end

-- An assigned sender: a domain, or one address, whose local part is a dot-atom
-- (RFC 5322 3.2.3), here in lower case.
function canonical.sender(text)
	if not string.find(text, '@', 1, true) then
		return canonical.domain(text)
	end
	local start, domain = string.match(text, '^(.*)@([^@]*)$')
	if #start > LOCAL_MAX or string.find('.' .. start .. '.', '..', 1,
	    true) or string.find(start, "[^%w!#$%%&'*+/=?^_`{|}~.-]") then
		invalid(text, 'not an address: what is before the @ must be ' ..
		    'letters, digits and single dots, without quotes, at ' ..
		    'most ' .. LOCAL_MAX)
	end
	return string.lower(start) .. '@' .. canonical.domain(domain)
end

end
