"""Plots of the built-in stories that happen in and around the house.

Standard library only; `stories.py` explains the notation.
"""

PLOTS = {
    "lost": """
        cast: when hero elder lost
        -? @child
        - {A} could not find {his} {thing}. / {When} {A} lost {his} {thing}. / {When} {A}'s {thing}
          was gone, and it was {his} favourite {thing}.
        - {He} looked behind the door and inside the teapot. / {He} looked everywhere, even in the
          soup pot. / {He} looked on every shelf and under every chair.
        - "What were you doing when you had it last?" asked {E}. / "Stop and think," said {E}. "What
          were you doing when you had it last?"
        - "I was {doing}," said {A}. / {A} thought hard. "I was {doing}," {he} said.
        - "Then look there," said {E}. / "Then that is the place to look," said {E}.
        - And there it was, {found}. / {A} ran to look, and there was the {thing}, {found}. / {A}
          looked, and sure enough, there it was, {found}.
        - "You are very clever," said {A}. "No," said {E}. "I have just lost many things." / "How
          did you know?" asked {A}. "I lose things too," said {E}. / Now the {thing} has its own
          place by the door. / "It was waiting for me," said {A}.
        """,
    "glasses": """
        cast: when hero grand home
        let paper = newspaper | letter | map | recipe
        let spot = sugar bowl | teapot | bread basket | milk jug
        -? {A} and {E} lived in {home}. / It was a quiet day. / Rain fell on the roof.
        - {When} {E} could not read the {paper}. / {When} {E} sat down to read the {paper}.
        - "Where are my glasses?" asked {E}. / "I have lost my glasses," said {E}.
        - {A} looked [under the chair|behind the clock], and even under the cat.
        -? "They are not in the {spot}," {he} said. / {He} looked in the {spot} too, but found only
          a spider.
        - Then {he} looked at {E} and began to laugh. / Then {A} looked up and smiled.
        - "Your glasses are on your head!" said {A}. / "I see them," said {A}. "They are on your
          head."
        - "So that is why the ceiling looked so clear," said {E}. / {E} felt {bhis} head and laughed
          until the chair shook. / "What a good place to keep them," said {E}.
        - Then {bhe} read the {paper} aloud, and {A} gave the cat its place back. / Then {bhe} read
          the {paper} from the first word to the last.
        """,
    "mend": """
        cast: when hero friend mend
        -? @child
        - {When} {A} saw that {broke}. / "Oh no!" said {A}, for {broke}. / {A} was sad, because
          {broke}.
        - First {A} tried to mend it with jam, but that only made it sticky. / First {A} asked it
          nicely, but that did not help. / First {A} tried a spoon, but a spoon was no use. / First
          {A} shouted at it, but shouting did not help.
        - "You need {tool}," said {his} {rel} {B}. / "What do I need?" asked {A}. "You need {tool},"
          said {his} {rel} {B}.
        - {B} [had|fetched] {tool}, and {A} [slowly|carefully] {did}. / They found {tool} in the
          shed. {A} {did} while {B} held it still.
        - Soon {after}. / After that {after}. / It worked! Soon {after}.
        - "As good as new," said {B}. / {A} was so proud that {he} told the cat all about it. /
          "Thank you," said {A}. "Next time I will ask you first." / "Is anything else broken?"
          asked {A}.
        """,
    "salt": """
        cast: when hero elder treat
        let taster = the baker | the dog | the postman | Mrs Bell from next door
        - {When} {A} made {a_treat} for {E}. / {When} {A} wanted to make {a_treat} all by {himself}.
        - {He} mixed the eggs and the flour, and then {he} added a big cup of sugar. / {He} mixed
          and mixed until there was flour on the ceiling. Last of all {he} added a cup of sugar.
        -? It smelled very good. / Soon the whole house smelled good. / It came out of the oven
          round and brown.
        - {E} took a bite and [went very quiet|stopped chewing|drank three cups of water].
        - "Is it good?" asked {A}. "It tastes like the sea," said {E}. / "How is it?" asked {A}. "A
          fish would love it," said {E}.
        - {A} looked at the jar. It was not sugar at all. It was salt! / {A} looked at the cup
          again. It was full of salt!
        - They laughed and made another one, with sugar this time. / So they began again, and this
          time they tasted the sugar first.
        - Then {A} drew a [fish|wave] on the salt jar, so that it would never happen again. / The
          second {treat} was so good that not a crumb was left. / The first {treat} went to the
          goat, who likes salt.
        """,
    "noise": """
        cast: hero elder noise
        - {A} lay in bed and could not sleep. / It was late, and the house was dark. {A} was still
          awake. / One night a strange noise woke {A}.
        - {Noise}! It sounded {sounded}. / {Noise}! What could it be? It sounded {sounded}.
        - {A} pulled the blanket over {his} head. / {A} held {his} teddy bear tight. / {A} called
          for {E}, but not very loudly.
        - {E} came with a lamp. "Let us go and see," {bhe} said. / "What is it?" {he} asked when {E}
          came. "Let us go and see," said {E}.
        - [Hand in hand|Step by step] they went to look. It was only this: {maker}. / They followed
          the noise, and {A} laughed. It was no giant! {Maker}.
        - {E} {mended}, and the house was quiet again. / {A} {mended}, and then it was quiet.
        - "Good night," said {E}. But {A} was already asleep. / Soon the only noise was {E},
          snoring. / "I was not afraid," said {A}. "I was, a little," said {E}. / After that {A}
          slept until breakfast.
        """,
    "riddle": """
        cast: when hero friend riddle place
        - {When} {A} and {his} {rel} {B} sat {at_place}. / {When} {A} and {B} were on the way
          {to_place}, and the way was long. / It rained all day, so {A} and {B} stayed in and told
          riddles.
        - "I know a riddle," said {A}. "{Riddle}?" / "Can you guess this?" asked {A}. "{Riddle}?"
        -? {B} thought so hard that {bhis} ears went red. / {B} thought and thought. / {B} walked
          round in a circle to think better.
        - "Is it a [cow|potato|teapot|frog]?" {bhe} asked. "No," said {A}, and laughed. / "Is it [my
          uncle|a very old shoe|the moon]?" {bhe} asked. "No," said {A}. "Try again."
        - Then {B} jumped up. "It is {answer}!" {bhe} said. / "Oh!" said {B} at last. "It is
          {answer}!"
        - "Yes!" said {A}. "Now it is your turn." / "That is right," said {A}. "You are too clever
          for me."
        - {B} told that riddle to everyone {bhe} met, even to the dog. / They told riddles until it
          was time for supper. / That night {A} thought of a harder one.
        """,
    "thief": """
        cast: when hero friend thief
        - {When} a whole jar of jam was empty. / {When} {A} opened the jam, and the jar was empty.
        - "Who ate the jam?" asked {A}. / "We have a thief!" said {A}.
        - "It was not me," said {B}. "I like honey." / "Let us look for clues," said {B}.
        - They looked around, and {A} found {clue}. / On their hands and knees they looked, and soon
          they found {clue}.
        - "Aha!" said {A}. "It was {thief}!" / "Now I know," said {B}. "It was {thief}!"
        - And it was, for there was {proof}. / They were right. There was {proof}.
        - {Thief} looked the other way and said nothing. / {Thief} did not look sorry at all. /
          {Thief} only wanted more.
        - After that they kept the jam on the top shelf. / They made new jam, and this time they hid
          it in a box with three locks. / "At least you like my jam," said {A}.
        """,
    "tower": """
        cast: when hero friend
        let thing = tower | castle | lighthouse
        let blocks = blocks | boxes | tins | books
        -? @child
        - {When} {A} built a {thing} of {blocks}. / {When} {A} wanted to build the highest {thing}
          in the world.
        - {He} put the small {blocks} at the bottom and the big ones on top. / First came the small
          {blocks}, then the big ones.
        -? The {thing} leaned to the left. It leaned to the right. / It grew and grew, and it began
          to shake.
        - Then it fell down with a crash, and the cat ran under the bed. / Crash! Down came the
          {thing}, and all the {blocks} rolled across the floor.
        - "Why did it fall?" asked {A}. "The bottom was too small," said {B}. / "The big ones must
          go at the bottom," said {B}. "Then it will stand."
        - So they began again, with the big {blocks} at the bottom. / They tried it that way, and
          the small {blocks} went on top.
        - This time the {thing} stood as still as a tree. / Now the {thing} stood up straight and
          did not shake at all.
        - {A} put {his} hat on the very top. / Even the cat came out to look. / "Now a bigger one!"
          said {A}. / They left it there all week, and everyone walked around it.
        """,
    "jumper": """
        cast: when hero elder
        let wool = jumper | hat | scarf | sock
        let colour = red | blue | green | yellow
        let tiny = the teddy bear | the kitten | the doll | the smallest puppy
        -? @child
        - {E} had knitted a {colour} {wool} for {A}. / {A} had a warm {colour} {wool}, and {he}
          loved it.
        - {When} {he} fell in the mud, and the {wool} turned brown. / But {when} it was so muddy
          that nobody could see the {colour}.
        - {A} washed it in very hot water. / So {A} put it in a pot of hot water and stirred it like
          soup.
        - The mud came out, but the {wool} became small. Very small! / When {he} took it out, it was
          clean, but it was no bigger than a potato.
        - "Oh no!" said {A}. "Hot water makes wool small," said {E}. / "What happened?" asked {A}.
          "Wool does not like hot water," said {E}.
        - {A} put it on {tiny}, and it fitted very well. / But it was just right for {tiny}.
        - Then {E} knitted a new one, and {A} washed it in cold water. / "Now I need another one,"
          said {A}. "I thought so," said {E}, and took out {bhis} needles.
        """,
    "gift": """
        cast: when hero friend gift
        let paper = red | blue | yellow | green
        -? @child
        - {When} {B} gave {A} a box in {paper} paper. / It was {A}'s birthday. {B} gave {him} a box
          in {paper} paper.
        - "You must guess before you open it," said {B}. / "What is it?" asked {A}. "Guess," said
          {B}.
        - {A} shook the box, and {rattle}. / {A} held it to {his} ear and shook it. {Rattle}!
        - "Is it {wrong}?" asked {A}. "No," said {B}, and laughed. / "It must be {wrong}," said {A}.
          "Not at all," said {B}.
        - {A} shook it again. "It is {a_gift}!" {he} said. / {A} thought for a while. "Is it
          {a_gift}?" {he} asked.
        - "Yes!" said {B}. {A} tore off the paper, and there it was. / {B} nodded, and {A} opened
          the box at last.
        - "Thank you!" said {A}. "It is just what I wanted." / {B} was even happier than {A}. / {A}
          liked the {gift} very much, and the cat liked the box.
        """,
    "hiccups": """
        cast: when hero friend
        let trick = stand on your head | drink a glass of water | hold your nose | walk backwards
        let shape = duck | frog | cow | owl
        -? @child
        - {When} {A} had hiccups. / {When} {A} woke up with hiccups.
        - "Hic!" said {A}. "Hic! Hic!" / "Good morning, hic!" {he} said.
        - "You must {trick}," said {B}. / "What can I do? Hic!" asked {A}. "You must {trick}," said
          {B}.
        - {A} tried it. "Hic!" It did not help at all. / So {A} did, but the hiccups stayed. "Hic!"
        - Then {B} made a face like {a_shape}. / Then {B} put a bucket on {bhis} head and walked
          about like {a_shape}.
        - {A} laughed and laughed, and the hiccups were gone. / {A} laughed so hard that {he} forgot
          to hiccup.
        - "Now I can talk again," said {A}. / "You are better than a doctor," said {A}. / "It
          worked!" said {A}.
        - "Hic!" said {B}. / But then {B} said, "Hic!" / "I will do it again tomorrow," said {B}.
        """,
    "fort": """
        cast: when hero friend elder supper
        let word = potato | pumpkin | cabbage | onion | mushroom
        - {When} it rained too hard to go out. / It was a wet, grey day.
        - So {A} and {his} {rel} {B} made a fort under the table. / {A} and {his} {rel} {B} took two
          blankets and four chairs and made a fort.
        - "Nobody may come in without the secret word," said {A}. "What is it?" asked {B}. "{Word},"
          said {A} in a low voice. / "We need a secret word," said {B}. They chose the word {word}.
        - They ate nuts in the dark and told stories about [bears|giants|wolves]. / It was dark
          inside, but they had a lamp and a bag of nuts.
        - Then they heard steps. Somebody knocked on the table. / After a while somebody came.
          Knock, knock!
        - "What is the secret word?" asked {B}. "Is it {word}?" asked {E}. So they had to open the
          door. / "What is the secret word?" asked {A}. {E} did not know it. "But I have made {word}
          soup," {bhe} said. "Come in!" they cried. / "Supper!" called {E}. "What is the secret
          word?" asked {B}. "There is {word} soup," said {E}. "Come in!" they cried.
        - They ate their supper in the fort that night. / And they all ate supper under the table.
        """,
    "tooth": """
        cast: when hero elder
        let food = apple | carrot | pear | bun
        -? @child
        - {A} had a loose tooth. / {A}'s front tooth was loose.
        - {He} pushed it with {his} tongue all day, but it would not come out. / It moved to the
          left and it moved to the right, but it stayed in.
        - "Shall I pull it?" asked {E}. "No!" said {A}, and shut {his} mouth. / "You could tie it to
          the door," said {E}. "No, thank you," said {A}.
        - {When} {A} bit into {a_food}. / {When} {A} took a big bite of {a_food}.
        - Crack! There was the tooth, stuck in the {food}. / When {he} looked at the {food}, the
          tooth was in it.
        - "Look!" said {A}, with a big hole in {his} smile. / "It did not hurt at all!" said {A}.
        - That night {he} put it under the pillow, and in the morning there was a coin. / In the
          morning there was a shiny coin under {his} pillow.
        - {A} bought {a_food} with it. / "How many teeth do I have left?" asked {A}. / "The baby has
          no teeth," said {A}. "Is it rich?"
        """,
    "spider": """
        cast: when hero elder
        let spot = bath | teapot | sink | bed
        let size = a plum | a coin | a button | a biscuit
        -? @child
        - {When} {A} found a spider in the {spot}. / "Help!" cried {A}. There was a spider in the
          {spot}.
        - It was as big as {size} and had eight long legs. / It was black, and as big as {size}.
        - "It is looking at me," said {A}. "It is more afraid than you are," said {E}. / "Will it
          eat me?" asked {A}. "It is smaller than your nose," said {E}.
        - {E} put a glass over it and slid a card under the glass. / {A} took a glass and a card.
          {He} put the glass over the spider and slid the card under it.
        - Then they carried it out and let it go under a rose bush. / They took it to the garden and
          let it go by the wall.
        - The next morning a web hung there, full of shining drops. / The next day it had made a web
          between two flowers.
        - "It can draw better than I can," said {A}. / "Good morning, spider," said {A}, from not
          too near. / {A} was not afraid any more, or only a little.
        """,
    "paint": """
        cast: when hero elder
        let colour = red | blue | green | yellow
        let picture = a ship | the sea | a castle | a big bear | the house
        -? @child
        - {When} {A} was painting {picture}. / {When} {A} painted {picture} at the kitchen table.
        - The cat jumped up, and over went the {colour} paint. / {He} put the {colour} paint on the
          floor, and the cat walked right through it.
        - The cat ran away and left {colour} paw marks on the [stairs|chairs|bed]. / Soon there were
          {colour} paw marks all over the floor.
        - "Who did this?" asked {E}. {A} pointed at four {colour} feet. / "What happened here?"
          asked {E}. "The cat is painting too," said {A}.
        - {A} fetched a bucket, and they washed the floor until it shone. / So {A} washed the floor,
          and {E} washed the cat. The floor was easier.
        - One paw mark was left on the picture, in a corner. / But the paper had paw marks on it
          too.
        - "Now the cat has put its name on it," said {E}. / "I like it better this way," said {A}. /
          They hung it on the wall, and the cat sat under it all day.
        """,
    "letter": """
        cast: when hero grand
        let wish = come and see the sea | teach me to whistle | tell me about the bear | come for
          tea
        let drawing = a whale | a snail | the dog | a train
        - {A} missed {E}, who lived far away. / {E} lived on the other side of the mountain.
        - {When} {A} wrote a letter. "Dear {E}, please {wish}." / So {when} {A} sat down and wrote,
          "Dear {E}, please {wish}."
        - {He} drew {drawing} at the bottom and took it to the post box. / {He} put in a drawing of
          {drawing} and ran to the post box.
        - Then {he} waited. Every morning {he} asked the postman. / {A} waited one day, and two
          days, and three.
        - At last a letter came. It was from {E}! / On the fourth day the postman brought a letter.
        - "Dear {A}," it said, "look out of the window." / It was very short. "Open the door," it
          said.
        - {A} looked, and there stood {E} with a big bag. / And there was {E}, with snow on {bhis}
          hat.
        - "I was faster than the post," said {E}. / "You came!" cried {A}. "You asked," said {E}. /
          "I liked the drawing," said {E}. "Is it a potato?"
        """,
    "baby": """
        cast: when hero elder
        let tool = drum | trumpet | whistle
        -? @child
        - {A} loved to play the {tool}. / {A} had a new {tool}, and {he} played it all day.
        - {When} {he} played it so loudly that the baby woke up. / {When} {he} played, and the baby
          began to cry.
        -? "Waa!" cried the baby. / The baby cried until its face was red.
        - {E} sang a song, but the baby cried. {E} made a face, but the baby cried. / {E} rocked the
          baby, but that did not help.
        - Then {A} played again, very softly this time. / "Let me try," said {A}, and {he} played a
          slow, soft song.
        - The baby stopped crying. It looked at the {tool} and smiled. / The baby listened. Then it
          shut its eyes.
        - Soon it was asleep, and so was {E}. / "You are good at this," said {E}. / "It is not the
          {tool}," said {E}. "It is how you play it."
        """,
}
