import { Transform } from 'assemblyscript/transform';

/**
 * Part of the build: declares the kernels to TypeScript. Writes `kernels.d.ts` beside the module (the exported functions
 * with their parameters, and each exported class as a record of fields), and stores the layout of these records in the
 * module, as JSON in its custom section `records`: { class: { size, fields: { name: [type, offset] } } }.
 */
export default class extends Transform {
  afterCompile(module) {
    const kernels = functionsOf(this.program);
    const records = recordsOf(this.program);
    module.addCustomSection('records', new TextEncoder().encode(JSON.stringify(records)));
    const tasks = kernels.filter(({ parameters }) => parameters[0]?.startsWith('task: '));
    const lines = [
      '/** Written by the build from src/kernels. */',
      'type Address = number;',
      '',
      'export interface Kernels {',
      ...kernels.map(k => `  readonly ${k.name}: (${k.parameters.join(', ')}) => ${k.result};`),
      '}',
      '',
      '/** Arguments of the kernels that threads run, behind the task and the scratch memory. */',
      'export interface TaskArguments {',
      ...tasks.map(k => `  readonly ${k.name}: readonly [${k.parameters.slice(2).join(', ')}];`),
      '}',
      '',
      'export interface Records {',
      ...Object.entries(records).map(([name, { fields }]) => `  readonly ${name}: { ${fieldsOf(fields)} };`),
      '}',
      '',
    ];
    this.writeFile('kernels.d.ts', lines.join('\n'), 'dist/src');
  }
}

const fieldsOf = fields =>
  Object.entries(fields)
    .map(([name, [type]]) => `readonly ${name}: ${type === 'address' ? 'Address' : 'number'}`)
    .join('; ');

const typeOf = type => (type.isReference || type.toString() === 'usize' ? 'address' : type.toString());

const declared = type => {
  const name = typeOf(type);
  if (name === 'address') return 'Address';
  return name === 'void' ? 'void' : 'number';
};

function functionsOf(program) {
  const file = program.filesByName.get('src/kernels/index');
  return [...file.exports].map(([name, prototype]) => {
    const [instance] = prototype.instances.values();
    const { parameterTypes, returnType } = instance.signature;
    const parameters = parameterTypes.map((type, k) => `${instance.getParameterName(k)}: ${declared(type)}`);
    return { name, parameters, result: declared(returnType) };
  });
}

function recordsOf(program) {
  const records = {};
  for (const element of program.instancesByName.values()) {
    if (!element.internalName.startsWith('src/kernels/') || element.typeArguments) continue;
    if (!('nextMemoryOffset' in element) || !element.prototype.parent.exports?.has(element.name)) continue;
    const fields = {};
    for (const [name, member] of element.members ?? []) {
      const field = member.instance;
      if (field?.isField) fields[name] = [typeOf(field.type), field.memoryOffset];
    }
    if (records[element.name]) throw new Error(`two records are called ${element.name}`);
    if (Object.keys(fields).length > 0) records[element.name] = { size: element.nextMemoryOffset, fields };
  }
  return records;
}
