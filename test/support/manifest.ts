export { publicationOf as manifestOf } from '#src/testing/index.js';
