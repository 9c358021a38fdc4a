-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Domains: lower-case A-labels.

local DOMAIN_MAX = 253
local LABEL_CODES_MAX = 59	-- each takes a byte at least, behind xn--

-- RFC 3492, 6.1.
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

local function threshold(k, bias)
	return math.min(math.max(k - bias, 1), 26)
end

local function digit_text(digit)
	return string.char(digit < 26 and digit + 97 or digit + 22)
end

-- Appends a number in the digits of RFC 3492, 6.3.
local function add_number(out, number, bias)
	local k = 36
	while true do
		local t = threshold(k, bias)
		if number < t then
			break
		end
		out[#out + 1] = digit_text(t + (number - t) % (36 - t))
		number = math.floor((number - t) / (36 - t))
		k = k + 36
	end
	out[#out + 1] = digit_text(number)
end

-- The next code point to be encoded.
local function next_code(codes, least)
	local found
	for _, code in ipairs(codes) do
		if code >= least and (not found or code < found) then
			found = code
		end
	end
	return found
end

local function punycode(codes)
	local out = {}
	for _, code in ipairs(codes) do
		if code < 0x80 then
			out[#out + 1] = string.char(code)
		end
	end
	local basic = #out
	local done, delta, bias, n = basic, 0, 72, 0x80
	if basic > 0 then
		out[#out + 1] = '-'
	end
	while done < #codes do
		local code = next_code(codes, n)
		delta = delta + (code - n) * (done + 1)
		for _, other in ipairs(codes) do
			if other < code then
				delta = delta + 1
			elseif other == code then
				add_number(out, delta, bias)
				bias = adapt(delta, done + 1, done == basic)
				delta, done = 0, done + 1
			end
		end
		delta, n = delta + 1, code + 1
	end
	return table.concat(out)
end

-- A number in these digits, from a place on, and the place behind it; nil for
-- what is none or too much.
local function read_number(text, at, bias)
	local number, weight, k = 0, 1, 36
	while true do
		local byte = string.byte(text, at)
		if not byte or byte == 45 or number > 0x7fffffff then
			return nil
		end
		local digit = byte >= 97 and byte - 97 or byte - 22
		local t = threshold(k, bias)
		number = number + digit * weight
		at = at + 1
		if digit < t then
			return number, at
		end
		weight, k = weight * (36 - t), k + 36
	end
end

-- The code points, of at most 63 bytes a-z, 0-9 and -; nil for no punycode.
local function unpunycode(text)
	local basic, rest = string.match(text, '^(.*)%-([^-]*)$')
	local codes = codes_of(basic or '')
	local at, i, bias, n = 1, 0, 72, 0x80
	rest = rest or text
	while at <= #rest do
		local delta
		delta, at = read_number(rest, at, bias)
		if not delta then
			return nil
		end
		local count = #codes + 1
		bias = adapt(delta, count, i == 0 and n == 0x80)
		n = n + math.floor((i + delta) / count)
		i = (i + delta) % count
		if n > 0x10ffff or (n >= 0xd800 and n <= 0xdfff) then
			return nil
		end
		table.insert(codes, i + 1, n)
		i = i + 1
	end
	return codes
end

-- Whether code points are hyphens where IDNA has none: at either end, or third
-- and fourth.
local function bad_hyphens(codes)
	return codes[1] == 45 or codes[#codes] == 45 or
	    (codes[3] == 45 and codes[4] == 45)
end

-- Whether no A-label can have the code point, as far as can be told.
local function never_in_alabel(code)
	return (code >= 0x80 and code < 0xdf and code ~= 0xb7) or
	    code == 0xf7 or range_with(CAPITALS, code) or
	    (code >= 0x80 and range_with(UNPRINTABLE, code) and
	    code ~= 0x200c and code ~= 0x200d)
end

-- An A-label is taken as it is if it decodes and is what its letters give.
local function right_alabel(label)
	local codes = #label <= 63 and string.find(label, '^[a-z0-9-]+$') and
	    unpunycode(string.sub(label, 5))
	if not codes then
		return false
	end
	local ascii = true
	for _, code in ipairs(codes) do
		if never_in_alabel(code) then
			return false
		end
		ascii = ascii and code < 0x80
	end
	return not ascii and 'xn--' .. punycode(codes) == label
end

-- The A-label of a label that is not ASCII; nil where a code point of it is not
-- vouched for.
local function to_alabel(label)
	local codes = #label <= 4 * LABEL_CODES_MAX and codes_of(label)
	if codes and #codes > LABEL_CODES_MAX then
		return nil
	end
	for i, code in ipairs(codes or {}) do
		local capital = range_with(CAPITALS, code)
		if capital then
			codes[i] = code + capital[4]
		elseif code < 0x80 and
		    not string.find(string.char(code), '[a-z0-9-]') then
			return nil
		elseif code >= 0x80 and not range_with(LETTERS, code) then
			return nil
		end
	end
	if not codes or bad_hyphens(codes) then
		return nil
	end
	return 'xn--' .. punycode(codes)
end

local function bad_domain(text, why)
	invalid(text, 'not a domain: ' .. why)
end

local function convert_label(label, text)
	if string.find(label, '[\128-\255]') then
		return to_alabel(label) or bad_domain(text, 'it has letters ' ..
		    'that are not converted here: give the domain as A-labels')
	elseif string.sub(label, 1, 4) == 'xn--' then
		return right_alabel(label) and label or bad_domain(text,
		    visible(label) .. ' is no A-label')
	elseif string.sub(label, 3, 4) == '--' then
		bad_domain(text, 'not a host name')
	end
	return label
end

-- The labels of a domain of which one is international.
local function convert_labels(domain, text)
	local labels = {}
	for label in string.gmatch(domain .. '.', '([^.]*)%.') do
		labels[#labels + 1] = convert_label(label, text)
	end
	return table.concat(labels, '.')
end

local function right_labels(domain)
	for label in string.gmatch(domain .. '.', '([^.]*)%.') do
		if #label > 63 or not string.find(label, '^[a-z0-9-]+$') or
		    string.find(label, '^-') or string.find(label, '-$') then
			return false
		end
	end
	return #domain <= DOMAIN_MAX
end

-- Whether a text is a domain in its canonical form, for most of those that are:
-- found out quickly, since lists are long.
local function is_plain_domain(text)
	if #text > DOMAIN_MAX or string.find(text, '[.-][.-]') or
	    not string.find(text, '^[a-z0-9][a-z0-9.-]*[a-z0-9]$') or
	    (#text > 63 and not right_labels(text)) then
		return false
	end
	local last = string.match(text, '^.*%.(.*)$')
	return last and string.find(last, '%D')
end

function canonical.domain(text)
	if is_plain_domain(text) then
		return text
	end
	local domain = string.gsub(string.lower(text), '%.$', '')
	if #text > DOMAIN_INPUT_MAX then
		bad_domain(text, 'not a host name')
	elseif string.find(domain, '[\128-\255]') or
	    string.find(domain, 'xn--', 1, true) then
		domain = convert_labels(domain, text)
	end
	local last = string.match(domain, '%.([^.]*)$')
	if not last then
		bad_domain(text, 'there is no dot in it')
	elseif not right_labels(domain) then
		bad_domain(text, 'not a host name')
	elseif not string.find(last, '%D') then
		bad_domain(text, 'an address, not a domain')
	end
	return domain
end

