// The chosen picture, its crop, and possible problems with them.

const $ = (id) => document.getElementById(id);

function setSource(image, blob) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
}

// message: the server's `face`; blob: the picture, or null for the example, which the page does not have.
export function showFace({width, height, corners, doubts, aligned}, blob) {
  $('crop-note').textContent = aligned ? 'Used as it is: already a crop' : 'The crop';
  if (blob !== null) {
    setSource($('whole'), blob);
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
  setSource($('crop'), blob);
  $('seen').hidden = false;
}
