// The picture that was chosen, its crop, and what is doubtful about them.

const $ = (id) => document.getElementById(id);

function source(image, blob) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
}

// told: the server's `face`; blob: the picture, or null where it is the example, which is not here.
export function showFace({width, height, corners, doubts, aligned}, blob) {
  $('crop-note').textContent = aligned ? 'A crop already: taken as it is' : 'The crop';
  if (blob !== null) {
    source($('whole'), blob);
    $('outline').setAttribute('viewBox', `0 0 ${width} ${height}`);
    $('corners').setAttribute('points', corners.map((point) => point.join(',')).join(' '));
  }
  $('whole').closest('figure').hidden = blob === null || aligned;
  $('doubts').replaceChildren(...doubts.map((doubt) => {
    const item = document.createElement('li');
    item.textContent = doubt;
    return item;
  }));
  $('doubts').hidden = doubts.length === 0;
}

export function showCrop(blob) {
  source($('crop'), blob);
  $('seen').hidden = false;
}
