// The page to withdraw: deletes all that is stored under a code.

import {forget, recall} from './memory.js';
import {request, RequestError} from './server.js';

const normalized = (code) => (code ?? '').toUpperCase().replace(/[^0-9A-Z]/g, '');
const $ = (id) => document.getElementById(id);
const showMessage = (text) => {
  $('told').textContent = text;
};

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('delete').disabled = true;
  try {
    await request('withdraw', {code: $('code').value}, showMessage);
    const study = await request('study', null, showMessage);
    if (normalized(recall(study.id)) === normalized($('code').value)) forget(study.id);
    $('form').hidden = true;
    showMessage('All your answers have been deleted. Thank you for your time.');
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    showMessage(error.message);
  }
  $('delete').disabled = false;
});
