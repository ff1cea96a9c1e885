// Withdrawing: the code, and all that is stored of it is gone.

import {forget, recall} from './memory.js';
import {ask, Refused} from './server.js';

const signs = (code) => (code ?? '').toUpperCase().replace(/[^0-9A-Z]/g, ''); // However it is typed.
const $ = (id) => document.getElementById(id);
const tell = (text) => {
  $('told').textContent = text;
};

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('delete').disabled = true;
  try {
    await ask('withdraw', {code: $('code').value}, tell);
    const study = await ask('study', null, tell);
    if (signs(recall(study.id)) === signs($('code').value)) forget(study.id);
    $('form').hidden = true;
    tell('All your answers have been deleted. Thank you for your time.');
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
  }
  $('delete').disabled = false;
});
