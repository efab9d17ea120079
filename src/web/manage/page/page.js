// The page works without this script. It sets text by textContent only, and fetches nothing.
const page = document.querySelector('.kf-page');
const all = (query, within = page) => [...within.querySelectorAll(query)];
const one = (query, within = page) => within.querySelector(query);

// Instants, in the browser's zone.
const format = (at, dateStyle, timeStyle) => new Intl.DateTimeFormat(page.lang, { dateStyle, timeStyle }).format(at);
const units = [['year', 31536e3], ['month', 2592e3], ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
const ago = at => {
	const seconds = (at - Date.now()) / 1000;
	const [unit, length] = units.find(([, it]) => Math.abs(seconds) + 1 >= it);
	return new Intl.RelativeTimeFormat(page.lang).format(Math.round(seconds / length), unit);
};
for (const time of all('time')) {
	const at = new Date(time.dateTime);
	time.title = format(at, 'long', 'long');
	if (time.closest('[data-kf-ago]')) time.textContent = ago(at);
	else if (time.closest('td')) time.textContent = format(at, 'medium', time.matches('td > *') ? undefined : 'short');
	else time.textContent = `${time.title} (${ago(at)})`;
}

// The button never says more than has happened.
const said = one('.kf-said');
const secret = one('#kf-token');
let isSafe = false;
const copy = async source => {
	try {
		await navigator.clipboard.writeText(source.value ?? source.textContent);
		return true;
	} catch {
		if (source === secret) source.select();
		else getSelection().selectAllChildren(source);
		return document.execCommand('copy');
	}
};
for (const button of all('[data-kf-copy]')) {
	const label = button.firstElementChild;
	const before = label.textContent;
	const source = one('#' + button.dataset.kfCopy);
	const { kfCopied, kfPress } = said.dataset;
	button.onclick = async () => {
		const done = await copy(source);
		said.textContent = done ? kfCopied : kfPress.replace('{name}', /Mac|iP/.test(navigator.platform) ? '⌘C' : 'Ctrl+C');
		if (!done) return source.focus();
		isSafe ||= source === secret;
	one('strong').hidden = isSafe;
		label.textContent = kfCopied;
		setTimeout(() => {
			label.textContent = before;
			said.textContent = '';
		}, 2000);
	};
}
if (secret) {
	secret.onfocus = secret.select;
	if (secret.matches(':focus')) secret.select();
	one('[data-kf-saved]').onclick = () => { isSafe = true; };
	onbeforeunload = event => isSafe || event.preventDefault();
	onpagehide = () => { secret.value = ''; };
}

// Revoking: the selection and the question.
const ask = (template, slots, fill) => {
	const dialog = one(template).content.firstElementChild.cloneNode(true);
	for (const slot of all('[data-kf-slot]', dialog)) slot.textContent = slots[slot.dataset.kfSlot];
	fill(dialog);
	dialog.onclose = () => dialog.remove();
	page.append(dialog);
	dialog.showModal();
};
const inRow = (query, it) => one(query, it.closest('tr')).textContent;
for (const link of all('.kf-actions [href$=revoke]')) link.onclick = event => {
	event.preventDefault();
	const slots = { name: inRow('.kf-name', link), used: inRow('[data-kf-ago]', link) };
	ask('#kf-revoke-one', slots, dialog => { one('form', dialog).action = link.href; });
};
const header = one('[data-kf-all]');
if (header) {
	const bulk = header.form;
	const boxes = all('[name=id]');
	const chosen = () => boxes.filter(it => it.checked);
	const show = () => {
		const n = chosen().length;
		one('bdi', bulk).textContent = n;
		header.checked = n && n === boxes.length;
		header.indeterminate = n && n < boxes.length;
	};
	header.onclick = () => {
		for (const box of boxes) box.checked = header.checked;
		show();
	};
	for (const box of boxes) box.onchange = show;
	onpageshow = show;
	bulk.onsubmit = event => {
		const names = chosen().map(it => inRow('.kf-name', it));
		if (event.submitter?.name || !names[1]) return;
		event.preventDefault();
		ask('#kf-revoke-several', { n: names.length, more: names.length - 20 }, dialog => {
			for (const name of names.slice(0, 20)) one('ul', dialog).appendChild(document.createElement('li')).textContent = name;
			one('[data-kf-rest]', dialog).hidden = names.length <= 20;
		});
	};
}
onkeydown = event => {
	if (event.key === 'Escape' && !one('dialog')) one('[data-kf-escape]')?.click();
};

// Forms. A date is a day of the browser.
for (const zone of all('[name=zone]')) zone.form.onsubmit = () => {
	const date = one('[type=date]', zone.parentElement).value;
	zone.value = date && new Date(date + 'T23:59:59').getTimezoneOffset();
};
const expires = one('#kf-expires');
if (expires) {
	const date = expires.nextElementSibling;
	const until = one('#kf-until');
	const { textContent, dataset: { kfUntil, kfNever } } = until;
	expires.onchange = date.onchange = () => {
		const isDate = expires.value === 'date';
		const at = isDate ? date.value && date.value + 'T23:59:59' : expires.selectedOptions[0].dataset.kfAt;
		const text = isDate ? textContent : kfNever;
		until.textContent = at ? kfUntil.replace('{time}', format(new Date(at), 'full', 'short')) : text;
	};
	expires.onchange();
}
for (const group of all('.kf-group')) {
	const boxes = all('[name=ability]:enabled:not([data-kf-wildcard])', group);
	const wildcard = one('[data-kf-wildcard]', group);
	const every = one('[data-kf-group]', group) ?? {};
	const search = one('[type=search]', group) ?? {};
	group.onchange = () => {
		const n = boxes.filter(it => it.checked).length;
		for (const box of [...boxes, every]) box.disabled = wildcard?.checked;
		every.checked = n === boxes.length;
		every.indeterminate = n && n < boxes.length;
	};
	every.onchange = () => {
		for (const box of boxes) if (!box.parentElement.hidden) box.checked = every.checked;
	};
	search.oninput = () => {
		for (const { parentElement: label } of boxes) label.hidden = !label.textContent.toLowerCase().includes(search.value.toLowerCase());
	};
	group.onchange();
}
for (const link of all('[data-kf-preset]')) link.onclick = event => {
	event.preventDefault();
	const wanted = link.dataset.kfPreset.split(' ');
	for (const box of all('[name=ability]')) box.checked = wanted.includes(box.value);
	for (const group of all('.kf-group')) group.onchange();
};
