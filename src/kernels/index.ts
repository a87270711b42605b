export { relabel } from './relabel';
export { diagonal } from './diagonal';
export { blocks, pairsBelow } from './work';
export { norms } from './norms';
export { normsRounded, normsValued, normsWeighted, normsWeightedValued } from './norms-weighted';
export { consume, produce, produceAll, stop } from './pipeline';
export { sweepColumns, sweepSums } from './sweep';
export { pruneStored, squaresStored, sumStored, sweepStored, sweepStoredSums } from './stored';
export { encodeColumn, lengthTables } from './segment-code';
export { icfTake } from './icf';
export { residualLoss } from './residual';
export { nthLargest, umrEmit, umrGather, umrSteps } from './umr';
export { decoder, encoder, unitLower } from './layers';
export { outerF64, outerI32, outerOnes } from './outer';
export { fsaiGather, fsaiGathers, fsaiPlaces, fsaiSelect, fsaiSelects } from './fsai';
export { fsaiColumns, fsaiSolve } from './fsai-solve';
export { fsaiRows, rowScales, rowsByColumn, scaleRows } from './fsai-rows';
export { encode, encodePack, encodePlaces } from './encode';
export { score } from './score';
export { scoreDense } from './score-dense';
export { distil } from './serving';
export { factorDiagonal, factorTile } from './dense-cholesky';
export { invertTile, productTile, transposeDiagonal } from './dense-inverse';
export { tilesTake } from './dense-columns';
export { cutRows } from './dense-cut';
export { largeEntries, magnitudeBins } from './dense-sparsify';
export { gather } from './dense-gather';
export { scatter } from './dense-scatter';
export { multiply } from './dense-multiply';
export { gram, mirror } from './dense-gram';
export { elsaUsers } from './elsa';
export { adamMoments, adamStep } from './adam';
export { normalizeRows, prune } from './prune';
export { fletcher } from './checksum';

/** First byte that is not the module's own. */
export function heapBase(): usize {
  return __heap_base;
}
